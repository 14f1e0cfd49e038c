"""What is told of a build reaches who follows it: whole, in its order, and in few pieces."""

from __future__ import annotations

import asyncio

from boxship.build.control.jobs import Job
from boxship.build.progress import Output, Told
from boxship.spec.digest import Digest

VERTEX = Digest.of(b"vertex")


def word(number: int) -> Output:
    return Output(VERTEX, 1, str(number).encode(), number)


async def followed(job: Job) -> list[list[Told]]:
    return [some async for some in job.follow()]


def test_what_is_told_in_quick_succession_is_passed_on_together_and_the_end_at_once() -> None:
    async def story() -> list[list[Told]]:
        job = Job("ref", asyncio.get_running_loop())
        following = asyncio.ensure_future(followed(job))
        for number in range(100):
            job.report(word(number))
            await asyncio.sleep(0)
        job.end()
        async with asyncio.timeout(10):
            return await following

    pieces = asyncio.run(story())
    assert [told for some in pieces for told in some] == [word(number) for number in range(100)]
    assert len(pieces) == 2


def test_what_threads_tell_comes_before_what_is_told_when_they_have_ended() -> None:
    async def story() -> list[list[Told]]:
        job = Job("ref", asyncio.get_running_loop())
        for number in range(0, 40, 2):
            await asyncio.to_thread(job.report, word(number))
            job.report(word(number + 1))
        job.end()
        return await followed(job)

    assert [told for some in asyncio.run(story()) for told in some] == [word(n) for n in range(40)]


def test_several_follow_one_build_and_one_that_has_ended_is_told_whole() -> None:
    async def story() -> list[list[list[Told]]]:
        job = Job("ref", asyncio.get_running_loop())
        both = [asyncio.ensure_future(followed(job)) for _ in range(2)]
        await asyncio.sleep(0)
        job.report(word(1))
        await asyncio.sleep(0)
        job.report(word(2))
        job.end()
        async with asyncio.timeout(10):
            return [*await asyncio.gather(*both), await followed(job)]

    for pieces in asyncio.run(story()):
        assert [told for some in pieces for told in some] == [word(1), word(2)]
