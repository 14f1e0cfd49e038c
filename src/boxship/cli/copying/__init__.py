"""Copying between a container and this machine.

places   where a copy begins and ends: Docker's path rules, decided on values
pack     files here become a tar archive
unpack   a tar archive becomes files here, beneath one folder and nowhere else
"""
