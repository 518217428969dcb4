def rows_of(*a):
    return []


def verdict(*a):
    return []


def said(*a):
    return ""


def show(*a):
    pass


def draw(*a):
    pass
