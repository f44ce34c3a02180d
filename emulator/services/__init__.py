"""The emulated services, over gRPC and HTTP, and the gate that each call passes."""
