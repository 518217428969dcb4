"""What a study is to run: its file, its designs, its cells."""
