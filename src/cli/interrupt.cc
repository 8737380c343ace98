#include "cli/interrupt.h"

#include <atomic>
#include <csignal>

#include "cli/failure.h"

namespace brindle::cli {

namespace {

std::atomic<int> noted = 0;  // the signal's number
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler writes it");

void on_signal(int signal) { noted = signal; }

}  // namespace

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a wait for the daemon must wake. SA_RESETHAND: who presses twice means it.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction before {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // else it is nohup's
}

void note_interrupt(int signal) { noted = signal; }
bool interrupted() { return noted != 0; }
void forget_interrupt() { noted = 0; }

void check_interrupt() {
  if (interrupted()) throw Failure(Exit::interrupted, "interrupted", "interrupted");
}

}  // namespace brindle::cli
