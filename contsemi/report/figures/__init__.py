"""Figures by name, one file each.

A figure is a module with a function ``drawing(material)`` that gives a
:class:`~contsemi.report.figures.drawing.Drawing`, or ``None`` where there is nothing to draw. To
add one, write the module and name it in :mod:`contsemi.report.figures.catalogue`: it is then
written as PNG and SVG, and stands in the page.
"""
