def test_of_something_else():
    assert sorted("cab") == ["a", "b", "c"]
