"""What measures benchmarks in the process of the tests: standard library and pytest only, Python >= 3.9."""
