"""Pulling through: what is not here is fetched from another registry, sent on, and kept.

upstreams   which names belong to which registry
through     the manifests and blobs of those names
download    one blob on its way, read by any number of clients
evict       what nobody has asked for goes, so that the cache stays bounded
"""
