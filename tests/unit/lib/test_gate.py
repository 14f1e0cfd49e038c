"""Many at a time, or one alone."""

import threading

from boxship.lib.gate import Gate


def test_nobody_is_inside_beside_one_who_is_alone():
    gate, inside, seen = Gate(), [0], []

    def together():
        for _ in range(200):
            with gate.together():
                inside[0] += 1
                inside[0] -= 1

    def alone():
        for _ in range(50):
            with gate.alone():
                seen.append(inside[0])

    threads = [threading.Thread(target=work) for work in (together, together, alone, alone)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [0] * 100
