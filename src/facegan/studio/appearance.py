"""The page's theme, styles and keyboard shortcuts; nothing is loaded from other hosts."""

import gradio as gr

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
FONTS_OF_NUMBERS = ["ui-monospace", "Menlo", "Consolas", "monospace"]

CSS = """
#title h1 { font-size: 1.5rem; margin: 0; }
#title small { font-weight: 400; opacity: .8; margin-left: .5rem; }
#title p, #status { color: var(--body-text-color); opacity: .85; margin: .25rem 0 0; }
.studio-alert { border-left: 4px solid #c62828; background: #fdecea; color: #611a15;
  padding: .6rem .8rem; border-radius: 4px; }
.dark .studio-alert { background: #3b1513; color: #ffdad6; }
.studio-alert strong { color: inherit !important; }
.studio-card { border-collapse: collapse; }
.studio-card th, .studio-card td { text-align: left; padding: .3rem .8rem .3rem 0;
  overflow-wrap: anywhere; color: var(--body-text-color); }
.studio-card th { white-space: nowrap; vertical-align: top; }
.studio-mix { overflow-x: auto; max-width: 100%; }
.studio-mix :is(table, tr, td, th) { border: none !important; padding: 3px; }
.studio-mix caption { text-align: left; padding: 3px; }
.studio-mix img { width: clamp(56px, 9vw, 128px); display: block; border-radius: 3px; }
.studio-mix th img { outline: 2px solid var(--color-accent); outline-offset: -2px; }
.studio-brushes { display: flex; flex-wrap: wrap; gap: .3rem .9rem; align-items: center;
  border: none; padding: 0; margin: 0 0 .5rem; }
.studio-brushes label { display: inline-flex; gap: .35rem; align-items: center; }
.studio-brushes span { width: 1.2rem; height: 1.2rem; border: 1px solid; border-radius: 3px; }
#paint-undo { border: 1px solid; border-radius: 4px; padding: .15rem .8rem; }
#paint-canvas { width: 100%; max-width: 512px; image-rendering: pixelated; touch-action: none;
  cursor: crosshair; border: 1px solid var(--border-color-primary); }
.studio-drop { display: block; border: 2px dashed var(--border-color-primary); padding: 1rem; }
.studio-drop input { display: block; margin: .5rem 0; max-width: 100%; }
.studio-drop img { max-width: 100%; max-height: 320px; }
.studio-drop img[hidden] { display: none; }
#between img { width: 100%; }
#between img[hidden] { display: none; }
.image-container, .image-container > button, .image-frame { width: 100%; }
.image-frame img { width: 100% !important; height: auto !important;
  object-fit: contain !important; }
.gallery-container, .grid-wrap { max-height: none !important; }
.grid-container { grid-template-columns: repeat(var(--grid-cols), minmax(0, 1fr)) !important; }
.gallery-item, .thumbnail-item { min-width: 0 !important; width: 100% !important; }
.thumbnail-item { aspect-ratio: auto !important; height: auto !important; }
.thumbnail-item .caption-label { position: static !important; max-width: none !important;
  text-align: center; font-size: .75rem !important; padding: .1rem .25rem !important;
  border-radius: 0 !important; white-space: normal !important; }
button:focus-visible, [tabindex]:focus-visible, input:focus-visible {
  outline: 3px solid var(--color-accent) !important; outline-offset: 1px; }
@media (max-width: 640px) {
  .gradio-container { padding: 8px !important; }
  .studio-card th { white-space: normal; }
}
"""

# Small images are shown without smoothing. The arrow keys step through images, unless a field, a
# slider or a list has the focus. The morph's slider selects the visible frame here, not in Gradio,
# which loses moves that arrive while it answers.
JS = """
() => {
  document.addEventListener('load', (event) => {
    const image = event.target;
    if (image.tagName === 'IMG' && image.naturalHeight <= 128) {
      image.style.imageRendering = 'pixelated';
    }
    if (image.closest('#between')) showFrame();
    if (image.id === 'paint-start') startPainting(image);
  }, true);
  const showFrame = () => {
    const frames = document.querySelectorAll('#between img');
    const slider = document.querySelector('#morph-share input[type=range]');
    const shown = Math.round(slider.value * (frames.length - 1));
    frames.forEach((frame, index) => { frame.hidden = index !== shown; });
  };
  for (const kind of ['input', 'change', 'click', 'keyup']) {
    document.addEventListener(kind, (event) => {
      if (event.target.closest?.('#morph-share')) requestAnimationFrame(showFrame);
    });
  }
  const OWN = 'input, textarea, select, [role=slider], [role=tab], [role=listbox], .studio-mix';
  const press = (names) => {
    for (const name of names) {
      const button = document.getElementById(name);
      if (button && button.offsetParent !== null) { button.click(); return true; }
    }
    return false;
  };

  // Paint: strokes in the chosen class's colour. Their end presses "Paint", which posts the canvas.
  const canvasOf = () => document.getElementById('paint-canvas');
  let undone = [], last = null;
  const startPainting = (image) => {
    canvasOf().getContext('2d').drawImage(image, 0, 0);
    undone = [];
    press(['paint-draw']);
  };
  const paintTo = (event) => {
    const canvas = canvasOf(), box = canvas.getBoundingClientRect(), pen = canvas.getContext('2d');
    const place = [(event.clientX - box.left) * canvas.width / box.width,
                   (event.clientY - box.top) * canvas.height / box.height];
    pen.strokeStyle = document.querySelector('#paint-editor [name=brush]:checked').value;
    pen.lineWidth = document.getElementById('brush-size').value;
    pen.lineCap = 'round';
    pen.beginPath();
    pen.moveTo(...(last ?? place));
    pen.lineTo(...place);
    pen.stroke();
    last = place;
  };
  const undo = () => {
    const before = undone.pop();
    if (before) { canvasOf().getContext('2d').putImageData(before, 0, 0); press(['paint-draw']); }
  };
  document.addEventListener('pointerdown', (event) => {
    const canvas = event.target;
    if (canvas.id !== 'paint-canvas' || event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    undone.push(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height));
    undone = undone.slice(-50);
    paintTo(event);
  });
  document.addEventListener('pointermove', (event) => { if (last) paintTo(event); });
  for (const kind of ['pointerup', 'pointercancel']) {
    document.addEventListener(kind, () => {
      if (last) { last = null; press(['paint-draw']); }
    });
  }
  document.addEventListener('click', (event) => { if (event.target.id === 'paint-undo') undo(); });
  document.addEventListener('keydown', (event) => {
    const isUndo = (event.ctrlKey || event.metaKey) && event.key === 'z';
    if (isUndo && canvasOf()?.offsetParent) { event.preventDefault(); undo(); }
  });

  // Translate: the file's own bytes; a large one is reduced to a JPEG that the studio accepts.
  const readUrl = (file) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = reject;
    reader.readAsDataURL(file);
  });
  const reduced = async (file, side) => {
    const image = await createImageBitmap(file), { width, height } = image;
    const share = Math.min(1, 2 * side / Math.min(width, height), 1000 / Math.sqrt(width * height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.round(width * share);
    canvas.height = Math.round(height * share);
    const pen = canvas.getContext('2d');
    pen.imageSmoothingQuality = 'high';
    pen.fillStyle = 'white';
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL('image/jpeg', 0.95);
  };
  const choose = async (zone, file) => {
    if (!file) return;
    const shown = zone.querySelector('img');
    const isSmall = file.size < 700000;
    const url = isSmall ? readUrl(file) : reduced(file, Number(zone.dataset.side));
    shown.src = await url.catch(() => '');
    shown.hidden = false;
    press(['translate-draw']);
  };
  document.addEventListener('change', (event) => {
    const zone = event.target.closest?.('#translate-drop');
    if (zone) choose(zone, event.target.files[0]);
  });
  document.addEventListener('dragover', (event) => {
    if (event.target.closest?.('#translate-drop')) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    const zone = event.target.closest?.('#translate-drop');
    if (zone) { event.preventDefault(); choose(zone, event.dataTransfer.files[0]); }
  });
  document.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.(OWN)) return;
    const turned = {
      ArrowLeft: ['before-face', 'left-is-real'],
      ArrowRight: ['after-face', 'right-is-real'],
    }[event.key];
    if (turned && press(turned)) event.preventDefault();
  });
}
"""


def theme() -> gr.themes.Base:
    """Return Gradio's default theme with system fonts instead of Google's.

    Buttons are dark enough for white text: a contrast of 4.5 to 1, as WCAG 2.2 (1.4.3) requires.
    """
    plain = gr.themes.Default(primary_hue="blue", font=FONTS, font_mono=FONTS_OF_NUMBERS)
    return plain.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
    )
