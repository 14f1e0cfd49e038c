"""What is put in in any thread is taken in the loop's, in order."""

from __future__ import annotations

import asyncio
import threading

from boxship.lib.mailbox import Mailbox


def test_what_the_loop_puts_in_is_taken_in_one_visit_and_not_before() -> None:
    async def story() -> None:
        taken: list[int] = []
        box: Mailbox[int] = Mailbox(taken.append)
        for number in range(5):
            box.put(number)
        assert not taken
        await asyncio.sleep(0)
        assert taken == list(range(5))

    asyncio.run(story())


def test_each_threads_things_keep_their_order_and_none_is_lost() -> None:
    async def story() -> None:
        taken: list[tuple[int, int]] = []
        threads_seen = set[int]()

        def take(thing: tuple[int, int]) -> None:
            threads_seen.add(threading.get_ident())
            taken.append(thing)

        box: Mailbox[tuple[int, int]] = Mailbox(take)

        def put(thread: int) -> None:
            for number in range(500):
                box.put((thread, number))

        await asyncio.gather(*(asyncio.to_thread(put, thread) for thread in range(4)))
        await asyncio.sleep(0)
        for thread in range(4):
            assert [number for who, number in taken if who == thread] == list(range(500))
        assert threads_seen == {threading.get_ident()}

    asyncio.run(story())


def test_what_fails_to_be_taken_holds_up_nothing_that_comes_later() -> None:
    async def story() -> None:
        taken: list[int] = []
        complaints: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["exception"]))

        def take(number: int) -> None:
            if number == 0:
                raise ValueError(number)
            taken.append(number)

        box: Mailbox[int] = Mailbox(take)
        for number in range(3):
            box.put(number)
        await asyncio.sleep(0)
        box.put(3)
        await asyncio.sleep(0)
        assert len(complaints) == 1
        assert taken == [1, 2, 3]

    asyncio.run(story())
