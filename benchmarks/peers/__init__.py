"""The service beside what people would use in its place."""
