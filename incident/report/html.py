"""Page of an incident: one self-contained HTML file, no scripts. Pure.

It is made of the stored outcome and evidence, which are redacted. The same case file gives the
same bytes.
"""

from __future__ import annotations

from incident.report.html_template import report_template
from incident.report.page_view import CaseFileContents, page_view

__all__ = ["CaseFileContents", "render_html"]


def render_html(case: CaseFileContents) -> str:
    """The page as HTML 5."""
    return report_template().render(page=page_view(case))
