"""The builder as a BuildKit: its services, and the translations between protocol and builder.

server ──▶ control, gateway, contents ──▶ jobs ──▶ Builder     (what a call does)
           attrs, exporters, llb, status, failures             (what its words mean)
"""
