"""How each operation of the catalogue is called, by noun: see tests/contracts/test_same_answer.py."""
