"""What the tests of base and head say, on base and on head."""
