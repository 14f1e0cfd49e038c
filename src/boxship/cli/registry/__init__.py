"""Running a private registry. The commands become the registry's own program: see `program`."""
