// A ZIP without compression: pictures are compressed already. Files stay Blobs, which the browser
// may keep on disk, so an archive of gigabytes needs the memory of its largest file.
//
// Beyond 4 GB or 65,535 files it becomes ZIP64 (APPNOTE 4.3.14, 4.5.3).

import { crc32 } from "./crc32.js";

const UTF8_NAMES = 0x0800;
const LIMIT = 0xffffffff;

export class Zip {
  #parts = [];
  #entries = [];
  #offset = 0;
  #limit;

  constructor(limit = LIMIT) {
    this.#limit = limit;
  }

  async add(name, blob, date = new Date()) {
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const entry = { name: new TextEncoder().encode(name), crc, size: blob.size, date };
    const header = record(30, (put) => {
      put.u32(0x04034b50);
      fields(put, entry, 20);
      put.u16(entry.name.length);
      put.u16(0);
    });
    this.#entries.push({ ...entry, offset: this.#offset });
    this.#parts.push(header, entry.name, blob);
    this.#offset += header.length + entry.name.length + blob.size;
  }

  finish() {
    const start = this.#offset;
    const directory = this.#entries.flatMap((entry) => this.#directoryEntry(entry));
    const size = directory.reduce((sum, part) => sum + part.length, 0);
    const count = this.#entries.length;
    const isLarge = start + size > this.#limit || count > 0xffff;
    const end = record(22, (put) => {
      put.u32(0x06054b50);
      put.u32(0);
      put.u16(isLarge ? 0xffff : count);
      put.u16(isLarge ? 0xffff : count);
      put.u32(isLarge ? LIMIT : size);
      put.u32(isLarge ? LIMIT : start);
      put.u16(0);
    });
    const large = isLarge ? zip64End(count, size, start) : [];
    return new Blob([...this.#parts, ...directory, ...large, end], { type: "application/zip" });
  }

  #directoryEntry(entry) {
    const isFar = entry.offset > this.#limit;
    const extra = isFar
      ? record(12, (put) => {
          put.u16(1);
          put.u16(8);
          put.u64(entry.offset);
        })
      : new Uint8Array();
    const header = record(46, (put) => {
      put.u32(0x02014b50);
      put.u16(45);
      fields(put, entry, isFar ? 45 : 20);
      put.u16(entry.name.length);
      put.u16(extra.length);
      put.u16(0); // comment
      put.u16(0); // disk
      put.u16(0); // internal attributes
      put.u32(0); // external attributes
      put.u32(isFar ? LIMIT : entry.offset);
    });
    return [header, entry.name, extra];
  }
}

function zip64End(count, size, start) {
  const end = record(56, (put) => {
    put.u32(0x06064b50);
    put.u64(44); // of this record, from here on
    put.u16(45);
    put.u16(45);
    put.u32(0);
    put.u32(0);
    put.u64(count);
    put.u64(count);
    put.u64(size);
    put.u64(start);
  });
  const locator = record(20, (put) => {
    put.u32(0x07064b50);
    put.u32(0);
    put.u64(start + size);
    put.u32(1);
  });
  return [end, locator];
}

/** What a file's own header and its entry in the directory have in common. */
function fields(put, { crc, size, date }, version) {
  put.u16(version);
  put.u16(UTF8_NAMES);
  put.u16(0); // stored
  put.u16((date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1));
  put.u16(((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate());
  put.u32(crc);
  put.u32(size);
  put.u32(size);
}

function record(length, write) {
  const view = new DataView(new ArrayBuffer(length));
  let at = 0;
  write({
    u16: (value) => view.setUint16((at += 2) - 2, value, true),
    u32: (value) => view.setUint32((at += 4) - 4, value, true),
    u64: (value) => view.setBigUint64((at += 8) - 8, BigInt(value), true),
  });
  return new Uint8Array(view.buffer);
}
