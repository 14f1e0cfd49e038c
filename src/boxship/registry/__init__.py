"""The registry: keeps images for others, and speaks OCI's distribution protocol 1.1.

config      the YAML file and the environment, as the reference server's, become one value
app         wiring: storage, access, tasks and listeners of one server
main        `python -m boxship.registry`: serve, gc, retention, check, user
names       repository names, tags, digests
layout      where things lie in the storage, drawn once
storage/    what keeps bytes under keys: a folder, an object store, memory
uploads     blobs that are not finished
blobs       blobs of repositories; manifests: manifests, tags and referrers
collect     what may go, and why; retention: which tags may go, and why; check: is all whole
auth/       who asks, and what they may do: htpasswd, tokens, our own token server
proxy/      pulling through: other registries' images, kept here
http/       requests to calls, calls to answers
"""
