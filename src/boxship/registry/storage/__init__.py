"""What keeps bytes under keys: `driver` is the Protocol, a module for each way of keeping."""
