"""How Sphinx makes the site: `make docs`, strictly, into build/docs."""

from wirebird import __version__

project = "Wirebird"
author = "the Wirebird authors"
copyright = "the Wirebird authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["README.md"]
nitpicky = False

myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3  # a link may name a heading: guide.md#backpressure

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "Wirebird"

# Two classes are called Connection, the core's and asyncio's; a hint that says so is not wrong.
suppress_warnings = ["ref.python"]
