"""Secrets for registries: the credential-helper protocol, and a helper of our own."""
