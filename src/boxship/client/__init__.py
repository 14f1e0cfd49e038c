"""The Engine API from the caller's side.

    engine = Engine(Target("unix:///run/boxship.sock"))
    engine.containers.start("web")

Everything here is synchronous and imports little: a command lives for milliseconds, and most of
them would go to imports. Documents are plain JSON values; `client.documents` gives their types.
"""
