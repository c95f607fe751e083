"""TrainingMonitor in JupyterLab: a training is started, followed, stopped, resumed, and found again when it is done."""

from browser.controls import alt, button, choose, click, set_slider, wait_for_alt

CELL = "from cscelab.widgets import TrainingMonitor, checked; checked(TrainingMonitor(profile='smoke'))"
EPOCHS = 8


def said(notebook):
    return notebook.locator(".widget-html [role=status]").inner_text()


def test_training_monitor(run_cell):
    notebook = run_cell(CELL)
    notebook.until(lambda: said(notebook).startswith("Already trained: a smoke run"), "the stored run is found")
    wait_for_alt(notebook, "trained for 1.0 of 1 epochs")
    assert button(notebook, "start").is_disabled()
    choose(notebook, "recipe", "csq")
    set_slider(notebook, "epochs", EPOCHS)
    notebook.until(lambda: said(notebook) == "Not trained yet; start trains it here.", "it is a training of its own")
    click(notebook, "start")
    notebook.until(lambda: "training" in said(notebook) and "Epoch" in said(notebook), "it trains")
    click(notebook, "stop")
    notebook.until(lambda: said(notebook).startswith("Stopped"), "it stops")
    notebook.until(lambda: f"of {EPOCHS} epochs" in alt(notebook), "the curves go to where it stopped")
    assert "trained for 8.0" not in alt(notebook)
    assert button(notebook, "stop").is_disabled()
    click(notebook, "resume")
    notebook.until(lambda: said(notebook).startswith("Trained: a smoke run"), "it is trained to the end", 60)
    wait_for_alt(notebook, f"trained for {EPOCHS}.0 of {EPOCHS} epochs")
    assert button(notebook, "stop").is_disabled()
