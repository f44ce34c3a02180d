"""The emulator as one server: gRPC and HTTP over one world."""
