"""The web pages: GraphiQL and the REST documentation, with all they need to work offline.

`pages/` is ours and served as it is. `static/` is gathered from npm packages when the program is
installed or its wheel is built (`build.py`). Imports no other package of ours.
"""
