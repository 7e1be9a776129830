"""Tells a slope from a cache, a pool and noise, by what causes each of them.

A leak adds the same at every call, however many there were before. A cache or pool stops when it
is full. A container that doubles grows in jumps that double with it. Noise also falls.
"""

LEAK, SETTLED, IRREGULAR, UNCLEAR = "leak", "settled", "irregular", "unclear"


def judge(values):
    """One word for readings at equal distances, all of them late.

    Nine or more readings of something that fluctuates by chance are in rising order once in
    362,880 times (9 factorial). Growth that gets less (a cache whose keys begin to repeat) is
    unclear until it is watched for longer.
    """
    steps = [after - before for before, after in zip(values, values[1:])]
    half = len(steps) // 2
    if all(step > 0 for step in steps):
        if len(set(steps)) == 1 or sum(steps[half:]) * 5 >= sum(steps[:half]) * 4:
            return LEAK
        return UNCLEAR
    if all(step <= 0 for step in steps[half:]):
        return SETTLED
    if values[-1] <= max(values[:-1]):
        return IRREGULAR
    return UNCLEAR


def doubles(windows):
    """Whether growth per window keeps up with windows that double: a container without bound.

    ``windows`` are (calls, growth), each about twice as long as the one before.
    """
    if len(windows) < 3:
        return False
    late = windows[-3:]
    if any(growth <= 0 for _, growth in late):
        return False
    rates = [growth / calls for calls, growth in late]
    return all(0.7 <= after / before <= 1.5 for before, after in zip(rates, rates[1:]))


def enough_calls(hits, tries, entries):
    """Calls after which a pool of ``entries`` is full, where ``hits`` of ``tries`` calls add one.

    None in so many tries: once in as many is taken for granted.
    """
    return -(-entries * tries // max(1, hits))
