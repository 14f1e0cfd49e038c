"""What a prune of the whole system says of labels reaches the build cache, and changes nothing."""

from __future__ import annotations

import json
import urllib.parse

from tests.support.rawapi import Api


def test_a_prune_of_the_build_cache_may_speak_of_labels(api: Api) -> None:
    for label, wanted in (("label", 200), ("label!", 200), ("labels", 400)):
        filters = {label: ["no-such"], "type": ["no-such"]}  # so that nothing of other tests goes
        told = urllib.parse.quote(json.dumps(filters))
        status, answer = api.ask("POST", f"/build/prune?filters={told}")
        assert status == wanted, answer
