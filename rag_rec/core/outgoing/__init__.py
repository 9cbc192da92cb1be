"""Texts, files and messages that leave the program: neutral, private, without secrets."""
