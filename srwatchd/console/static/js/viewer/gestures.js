// Mouse, finger, pen, wheel and keys on a picture.

const STEP = 80; // CSS pixels of an arrow key

/** Moves `camera` by what happens on `element`; `changed` is called after each move. */
export function gestures(element, camera, changed, commands) {
  const down = new Map();
  let apart = 0;
  const ratio = () => devicePixelRatio || 1;
  const at = (event) => {
    const box = element.getBoundingClientRect();
    return { x: (event.clientX - box.left) * ratio(), y: (event.clientY - box.top) * ratio() };
  };
  const middle = () => {
    const [a, b] = [...down.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  };
  const listen = (name, listener, options) => element.addEventListener(name, listener, options);

  listen("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    if (down.size === 2) apart = middle().apart;
    element.classList.add("held");
  });
  listen("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (before === undefined) return;
    const now = at(event);
    if (down.size === 1) {
      camera.pan(now.x - before.x, now.y - before.y);
      down.set(event.pointerId, now);
    } else {
      const old = middle();
      down.set(event.pointerId, now);
      const next = middle();
      camera.pan(next.x - old.x, next.y - old.y);
      if (apart > 0) camera.zoomTo((camera.scale * next.apart) / apart, next);
      apart = next.apart;
    }
    changed();
  });
  const up = (event) => {
    down.delete(event.pointerId);
    apart = 0;
    if (down.size === 0) element.classList.remove("held");
  };
  listen("pointerup", up);
  listen("pointercancel", up);
  listen(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 18 : 1;
      camera.zoomTo(camera.scale * Math.exp((-event.deltaY * lines) / (event.ctrlKey ? 120 : 420)), at(event));
      changed();
    },
    { passive: false },
  );
  listen("dblclick", (event) => {
    if (camera.scale < 0.99 || camera.scale > 1.01) camera.zoomTo(1, at(event));
    else camera.toFit();
    changed();
  });
  listen("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const far = STEP * ratio() * (event.shiftKey ? 5 : 1);
    const moves = {
      ArrowLeft: () => camera.pan(far, 0),
      ArrowRight: () => camera.pan(-far, 0),
      ArrowUp: () => camera.pan(0, far),
      ArrowDown: () => camera.pan(0, -far),
      "+": () => camera.step(1),
      "=": () => camera.step(1),
      "-": () => camera.step(-1),
      0: () => camera.toFit(),
      1: () => camera.zoomTo(1),
      2: () => camera.zoomTo(2),
      4: () => camera.zoomTo(4),
      8: () => camera.zoomTo(8),
      ...commands,
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
    changed();
  });
}
