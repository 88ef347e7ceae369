"""Self-contained HTML pages of figures and tables, for screen and print: one style sheet, no script, nothing external.

How a report is made:

    from training.page import content, render, write
    from training.page.charts import draw, looks

    chart = draw("roc", "ROC", "Recall against false-positive rate of five members.", paint, caption="…", size=WIDE)
    page = content.Page(
        title="Evaluation of cic2017",
        summary=("Sentences that are computed.",),
        facts=(("Flows", "39,456"),),
        sections=(content.Section("Recall by class", (content.Paragraph("…"), table, content.Charts((chart,)))),),
        made_by="flowvigil evaluate …",
    )
    write.write_page(render.html_of(page), path)

content: the typed pieces (Paragraph, Bullets, Table, Charts, Section, Page). Texts are plain: the template escapes them
and makes control characters visible, so labels, column names and file names go in as they are. A table's first column
is its row header; columns with numeric=True are set right-aligned.
charts: `draw(name, title, description, paint, …)` gives `paint(figure)` an empty matplotlib figure in the page's style
and returns a Chart: inline SVG with title and description for readers who do not see it. NARROW charts stand side by
side and fit a telephone; WIDE ones scroll there. `looks(names, normal)` gives each series its colour (Okabe and Ito),
hatch, marker and dash, so that none is told by colour alone; label series directly where there is room. Names of the
dataset go into a drawing through text.short, which keeps them short and shows what is not seen.
numbers: how counts, shares, effects and p-values are written. text: control characters made visible.

Given the same content the page is the same, byte for byte.
"""
