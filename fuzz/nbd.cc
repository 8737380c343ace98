// A conversation of an NBD client is read as far as it makes sense, and nothing is read past its end.
#include <algorithm>

#include "fuzz/input.h"
#include "serve/nbd/protocol.h"

namespace brindle::nbd {
namespace {

void read_option(Option option, Bytes data) {
  const bool listing = option == Option::list_meta_context;
  if (option == Option::info || option == Option::go) {
    const auto request = parse_info_request(data);
    must(!request || data.size() == 6 + request->name.size() + 2 * request->wanted.size());
  }
  if (listing || option == Option::set_meta_context) {
    const auto request = parse_meta_request(data);
    if (!request) return;
    u64 size = 8 + request->name.size();
    for (const std::string& query : request->queries) size += 4 + query.size();
    must(size == data.size());
    static_cast<void>(selects_allocation(*request, listing));
  }
}

void read_requests(Bytes input, bool structured) {
  while (input.size() >= request_bytes) {
    const auto request = parse_request(input.data());
    if (!request) return;
    input = input.subspan(request_bytes);
    const WireError error = check_request(*request, structured, structured);
    const bool payload = request->is(Command::write);
    must(error != WireError::none || !payload || request->length <= request_size_max);
    if (payload) input = input.subspan(std::min<u64>(request->length, input.size()));
  }
}

}  // namespace
}  // namespace brindle::nbd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace brindle;
  using namespace brindle::nbd;
  Bytes input = input_bytes(data, size);
  bool structured = false;
  while (const auto header = parse_option_header(input)) {
    input = input.subspan(option_header_bytes);
    const Bytes option_data = input.first(std::min<u64>(header->length, input.size()));
    input = input.subspan(option_data.size());
    structured = structured || header->option == static_cast<u32>(Option::structured_reply);
    read_option(static_cast<Option>(header->option), option_data);
  }
  read_requests(input, structured);
  return 0;
}
