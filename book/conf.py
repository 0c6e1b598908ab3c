"""The book: `make book` builds it from the executed notebooks, the tables and the package's docstrings.

Nothing is executed, and nothing that a page needs lies elsewhere: formulas are MathML, fonts the
system's.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for `pages`

project = "snnq"
html_title = "snnq: few bits per weight"
author = "the snnq authors"
copyright = "the snnq authors, MIT licence"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "pages",
    "pages.images",
    "pages.mathml",
]
exclude_patterns = ["_build"]
suppress_warnings = ["ref.python"]  # a word of a docstring that several classes have as an attribute

html_theme = "furo"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["book.css"]
html_js_files = ["filter.js"]
html_copy_source = False
html_show_search_summary = False  # which is fetched, and a page opened as a file may not fetch
html_math_renderer = "mathml"

nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
# Sliders and bars move nothing without a kernel, and their scripts would be fetched from elsewhere.
nb_ipywidgets_js = {}
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
myst_enable_extensions = ["attrs_block", "deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"  # what docstrings have in single backticks, a link where it is a public name
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_google_docstring = False
copybutton_exclude = ".linenos, .gp, .go"
