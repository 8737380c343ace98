// A page that is read is written back so that it reads the same.
#include "format/page.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  const Bytes input = input_bytes(data, size);
  if (size < 16 || size > page_length_max) return 0;
  u64 birth = 0;
  std::memcpy(&birth, data + 8, sizeof birth);
  if (const auto leaf = decode_leaf(input, birth)) {
    const auto back = decode_leaf(encode_leaf(birth, *leaf), birth);
    must(back.ok() && back->names == leaf->names && back->crcs == leaf->crcs);
  }
  if (const auto patch = decode_patch(input, birth)) {
    const auto back = decode_patch(encode_patch(birth, *patch), birth);
    must(back.ok() && back->names == patch->names && back->crcs == patch->crcs && back->has == patch->has);
    for (u32 entry = 0; entry < leaf_blocks; ++entry) must(patch->rank(entry) <= patch->names.size());
  }
  if (const auto node = decode_node(input, birth)) {
    const auto back = decode_node(encode_node(birth, *node), birth);
    must(back.ok() && *back == *node);
  }
  return 0;
}
