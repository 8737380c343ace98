#include "pool/labels.h"

#include <cstring>

#include "base/aligned.h"
#include "format/superblock.h"

namespace brindle {

Task<Status> clear_label_areas(std::vector<Device*> members) {
  for (Device* member : members) {
    Status status = co_await member->fill(0, label_area_bytes);
    if (!status) co_return status;
  }
  co_return Status{};
}

Task<Status> write_labels(std::vector<Device*> members, MemberLabel label) {
  AlignedBuffer block(label_bytes);
  const Bytes from = block.span();
  for (u64 copy : {u64{0}, superblock_b_offset}) {
    for (size_t i = 0; i < members.size(); ++i) {
      label.index = static_cast<u32>(i);
      const std::vector<std::byte> bytes = encode_label(label);
      std::memcpy(block.data(), bytes.data(), bytes.size());
      Status status = co_await members[i]->write(copy, from);
      if (!status) co_return status;
    }
    for (Device* member : members) {
      Status status = co_await member->flush();
      if (!status) co_return status;
    }
  }
  co_return Status{};
}

}  // namespace brindle
