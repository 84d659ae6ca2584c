"""The edge of Tillbridge: HTTP and vendor words outside, gRPC contracts inside."""
