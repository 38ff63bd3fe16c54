"""What is put beside tests in their process: standard library and pytest only, Python >= 3.9."""
