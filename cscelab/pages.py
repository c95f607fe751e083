"""Notebooks and Markdown as HTML pages that read without a network: formulas as MathML, solutions folded, no scripts.

nbconvert's own pages load MathJax and a widget manager from elsewhere. Browsers draw MathML themselves, and screen
readers read it; latex2mathml writes it. A widget cannot live without a kernel: a line says so, its static twin follows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape
from pathlib import PurePosixPath
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from jinja2 import DictLoader, pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

WIDGET = "application/vnd.jupyter.widget-view+json"
NAME = "page.html.j2"
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
main { max-width: 1000px; margin: 0 auto; padding: 0 12px 60px; }
main img { max-width: 100%; height: auto; }
math { font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Noto Sans Math",
       "DejaVu Math TeX Gyre", math; font-size: 1.12em; }
math[display="block"] { margin: 0.8em 0; }
.jp-InputPrompt, .jp-OutputPrompt, .jp-Collapser { display: none; }
.jp-RenderedHTMLCommon table { margin: 0.6em 0; display: block; overflow-x: auto; }
tbody th { white-space: nowrap; }
.jp-InputArea-editor .highlight pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.jp-RenderedMarkdown td, .jp-RenderedMarkdown th { text-align: left !important; white-space: normal; }
nav, summary { font-family: var(--jp-content-font-family, sans-serif); }
nav a, a code { color: #0b55a5 !important; }
a code { text-decoration: underline; }
nav { padding: 10px 5px; border-bottom: 1px solid #bbb; margin-bottom: 12px; }
nav a, nav span { margin-right: 1.4em; }
details.solution { margin: 6px 5px; border-left: 4px solid #0072B2; padding-left: 8px; }
details.solution summary { cursor: pointer; font-weight: bold; padding: 4px 0; }
p.widget { border: 1px dashed #6B6B6B; padding: 6px 10px; margin: 4px 0; }
@page { size: A4; margin: 11mm 13mm; }
@media print {
  nav { display: none; }
  main { max-width: none; padding: 0 4mm 0 0; }
  .text main :is(.jp-Cell, .jp-Cell *) { break-inside: auto !important; overflow: visible !important;
                                         box-sizing: border-box; }
  .text main .jp-RenderedMarkdown { font-size: 10pt; line-height: 1.32; }
  .text main .jp-RenderedMarkdown :is(h1, h2) { margin: 7pt 0 3pt; font-size: 12pt; break-after: avoid; }
  .text main .jp-RenderedMarkdown :is(p, ul, ol, li, table) { margin-top: 2pt; margin-bottom: 2pt; }
  .text main .jp-RenderedMarkdown :is(td, th) { padding: 0 5pt; line-height: 1.2; font-size: 9pt; }
  .text main :is(li, tr) { break-inside: avoid !important; }
  .glossary main .jp-RenderedMarkdown ul { columns: 2; column-gap: 16pt; padding-left: 10pt;
                                           font-size: 7.6pt; line-height: 1.2; }
}
</style>
{%- endblock -%}
{%- block body_header -%}{{ super() }}{{ resources.navigation }}{%- endblock -%}
{%- block codecell -%}
{%- if "solution" in cell.metadata.get("tags", []) -%}
<details class="solution"><summary>Solution</summary>{{ super() }}</details>
{%- else -%}{{ super() }}{%- endif -%}
{%- endblock -%}
"""


def mathml(formula: str, display: bool = False) -> str:
    """A LaTeX formula as MathML, with itself as its alternative text; an equation's number in brackets after it.

    Raises ValueError for LaTeX that latex2mathml does not know.
    """
    spelled = re.sub(r"\\tag\{(.*?)\}", r"\\qquad (\1)", formula.strip())
    spelled = re.sub(r"\\texttt\{(.*?)\}", lambda m: rf"\texttt{{{m[1]}}}".replace(r"\_", "_"), spelled)
    remedy = f"the formula {formula.strip()!r} cannot be written as MathML; spell it otherwise"
    try:
        drawn = convert(spelled, display="block" if display else "inline")
    except Exception as error:  # its exceptions have no common class of their own
        raise ValueError(remedy) from error
    if re.search(r"\\[A-Za-z]", drawn):  # a command it does not know stays as it is
        raise ValueError(remedy)
    return drawn.replace("<math", f'<math alttext="{escape(" ".join(formula.split()))}"', 1)


class MathRenderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return mathml(body, display=True)

    def inline_math(self, body: str) -> str:
        return mathml(body)


class PageExporter(HTMLExporter):
    """nbconvert's page of a notebook with this file's template, whose formulas are MathML."""

    def __init__(self) -> None:
        super().__init__(extra_loaders=[DictLoader({NAME: TEMPLATE})], template_file=NAME)
        self.embed_images = True
        self.exclude_anchor_links = True

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        path = context.get("resources", {}).get("metadata", {}).get("path", "")
        renderer = MathRenderer(escape=False, embed_images=True, path=path, exclude_anchor_links=True)
        return str(MarkdownWithMath(renderer=renderer).render(source))


def page(
    notebook: nbformat.NotebookNode,
    title: str,
    folder: str = "",
    links: Sequence[tuple[str, str]] = (),
    known: Collection[str] = (),
) -> str:
    """The HTML of a notebook, executed or not.

    folder: where pictures that its text names are; links: (words, address) along the top; known: files of the course,
    as "05_ablations.ipynb": links to them lead to their pages, a link to any other file becomes its words.
    """
    shown = _without_widgets(notebook)
    shown.metadata["title"] = title
    top = "".join(f'<a href="{escape(address)}">{escape(words)}</a>' for words, address in links)
    resources = {
        "metadata": {"path": folder, "name": title},
        "navigation": f'<nav aria-label="course">{top}</nav>' if top else "",
    }
    html, _ = PageExporter().from_notebook_node(shown, resources)
    return _linked(html, known)


def markdown_page(
    text: str, title: str, folder: str = "", links: Sequence[tuple[str, str]] = (), known: Collection[str] = ()
) -> str:
    """The HTML of Markdown: see `page`."""
    cells = [nbformat.v4.new_markdown_cell(text)]
    html = page(nbformat.v4.new_notebook(cells=cells), title, folder, links, known)
    return html.replace("<html", f'<html class="text {title.split()[0].lower()}"', 1)  # what its printed form hangs on


def _without_widgets(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy in which a line stands for each widget; bars of progress, which had their time, are left out."""
    copy = nbformat.from_dict({**notebook, "cells": [nbformat.from_dict(dict(cell)) for cell in notebook.cells]})
    copy.metadata = nbformat.from_dict({k: v for k, v in notebook.metadata.items() if k != "widgets"})
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.outputs = [_widget_line(one) if WIDGET in one.get("data", {}) else one for one in cell.outputs
                            if not _is_progress(one, cell.source)]  # fmt: skip
    return copy


def _is_progress(output: nbformat.NotebookNode, source: str) -> bool:
    if output.output_type == "stream":
        return output.name == "stderr" and ("%|" in output.text or not output.text.strip())
    return WIDGET in output.get("data", {}) and "checked(" not in source


def _widget_line(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    found = re.match(r"\w+", output.data.get("text/plain", ""))
    name = found[0] if found else "widget"
    said = f"In JupyterLab a widget, {escape(name)}, stands here; the picture below shows it without a kernel."
    html = f'<p class="widget">{said}</p>'
    return nbformat.v4.new_output("display_data", {"text/html": html})


def _linked(html: str, known: Collection[str]) -> str:
    pages = {name: str(PurePosixPath(name).with_suffix(".html")) for name in known}
    soup = BeautifulSoup(html, "html.parser")
    for code in soup.select(".jp-RenderedMarkdown code"):
        if code.text in pages and code.find_parent("a") is None:
            code.wrap(soup.new_tag("a", href=pages[code.text]))
    for link in soup.select("a[href]"):
        address = str(link["href"])
        if address in pages:
            link["href"] = pages[address]
        elif link.find_parent("nav") is None and not re.match(r"[a-z]+:|#|.*\.(html|ipynb)$", address):
            link.unwrap()
    return str(soup)
