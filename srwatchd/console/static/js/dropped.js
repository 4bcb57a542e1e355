// What was dropped or chosen, as a flat list of files with their paths; sub folders are kept.

const SYSTEM = /^(\.|~\$|Thumbs\.db$|desktop\.ini$|@eaDir$|__MACOSX$)|~$/i;

/** Whether an inbox never takes a file of this path: hidden ones, and what operating systems leave in folders. */
export function systemFile(path) {
  return path.split("/").some((part) => SYSTEM.test(part));
}

/**
 * The files of a drop, folders read to their end: `{files: [{path, file}], left, unread}`, `left` counting what no inbox
 * takes, `unread` what the browser could not read. Must be called within the event: entries are gone after it.
 */
export async function filesOf(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (entries.length === 0 || entries.some((entry) => !entry)) return sorted([...transfer.files].map(fromFile));
  const found = { files: [], left: 0, unread: 0 };
  for (const entry of entries) await walk(entry, "", found, entry.isDirectory);
  return found;
}

/** The files of an input, with the paths that choosing a folder gives them. */
export function filesOfInput(input) {
  return sorted([...input.files].map(fromFile));
}

function fromFile(file) {
  return { path: file.webkitRelativePath || file.name, file };
}

function sorted(all) {
  const files = all.filter(({ path }) => !path.includes("/") || !systemFile(path));
  return { files, left: all.length - files.length, unread: 0 };
}

async function walk(entry, parent, found, within) {
  const path = parent + entry.name;
  if (within && systemFile(entry.name)) {
    found.left += 1;
    return;
  }
  try {
    if (entry.isFile) {
      found.files.push({ path, file: await new Promise((done, failed) => entry.file(done, failed)) });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // A reader gives about a hundred entries at a time, and none at the end.
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (some.length === 0) return;
      for (const child of some) await walk(child, `${path}/`, found, true);
    }
  } catch {
    found.unread += 1;
  }
}
