#include "map/root.h"

namespace brindle {

void add_child(Root& parent, Root& child) {
  child.parent = &parent;
  child.previous = nullptr;
  child.next = parent.first_child;
  if (child.next != nullptr) child.next->previous = &child;
  parent.first_child = &child;
  ++parent.children;
}

void remove_child(Root& child) {
  Root* const parent = child.parent;
  if (parent == nullptr) return;
  if (child.previous != nullptr) child.previous->next = child.next;
  if (child.next != nullptr) child.next->previous = child.previous;
  if (parent->first_child == &child) parent->first_child = child.next;
  if (parent->holder == &child) parent->holder = nullptr;
  child.parent = child.next = child.previous = nullptr;
  --parent->children;
}

}  // namespace brindle
