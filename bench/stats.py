"""stats.py: medians, spreads, and runs that take turns.

Holds: what is compared ran in the same rounds, one after the other; every other round goes the other way round, so that a
       machine that gets slower favours nobody. The control, a second run of the base, is called "again"."""

import statistics


def median(values):
    return statistics.median(values)


def rounds(count, runs):
    """Runs each of `runs` (name -> function) once a round. Gives name -> list of results. Of three rounds the control is in two: that
    shows how far apart two runs of the same can be, and such a form has no time to lose."""
    results = {name: [] for name in runs}
    for number in range(count):
        names = [name for name in runs if name != "again" or count > 3 or number < 2]
        for name in names if number % 2 == 0 else reversed(names):
            results[name].append(runs[name]())
    return results


def column(results, key):
    return [result[key] for result in results]


def ratios(subject, base, key="iops"):
    """One ratio a round."""
    return [a[key] / b[key] if b[key] else 0.0 for a, b in zip(subject, base)]
