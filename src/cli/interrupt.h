// interrupt.h: Ctrl-C, SIGTERM and the end of the terminal as something that a verb notices at its next wait, so that it can end what it began.
#pragma once

namespace brindle::cli {

/// From here on SIGINT, SIGTERM and SIGHUP are noted instead of ending the program; a second one ends it at once.
void watch_interrupts();
/// Notes one, as the signal does. Tests call it.
void note_interrupt(int signal);
/// One was noted since the last forget_interrupt().
bool interrupted();
void forget_interrupt();
/// Throws Failure{interrupted} when one was noted.
void check_interrupt();

}  // namespace brindle::cli
