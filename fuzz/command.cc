// A command that is read is written back as the same bytes.
#include <algorithm>

#include "format/command.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  const Bytes input = input_bytes(data, size);
  Reader from(input);
  const auto command = decode_command(from);
  if (!command) return 0;
  Writer to;
  encode_command(to, *command);
  Reader again(to.bytes());
  const auto back = decode_command(again);
  must(back.ok() && again.done() && back->index() == command->index());
  return 0;
}
