"""The messages of BuildKit's protocols, as far as this engine and its client speak them.

    solver    the build graph as it travels (moby.buildkit solver/pb)
    control   the builder's service, source policies, status (api/services/control)
    gateway   what a frontend on the client's side calls (frontend/gateway)
    session   what a client serves to the builder: files, secrets, ssh, credentials (session/…)
    content   reading content by digest (containerd.services.content)

Field numbers and types are the protocols'; names are ours. `packaging/messages` writes the
`*_pb2.py` and `*_pb2.pyi` from the `.proto` files; neither is edited by hand.
"""
