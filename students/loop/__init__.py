"""Rounds of self-training in one folder: build, train, and again with the student as the teacher."""
