// The page's words, in its two languages. {name} is filled in.

const words = {
  en: {
    title: "One stream for everybody",
    language: "Language",
    chat: "Chat",
    lines: "Lines",
    name: "Your name",
    optional: "Your name, if you like",
    subscribe: "Subscribe",
    leave: "Disconnect",
    line: "Your line",
    say: "Say something to everybody",
    send: "Send",
    empty: "Subscribe, and what is said appears here.",
    quiet: "Nobody has said anything yet.",
    newer: "Newer lines ↓",
    here: "Who is here",
    unknown: "You will see it once you have subscribed.",
    plain: "The stream as it is",
    you: "you",
    others: { one: "and one more", other: "and {n} more" },
    crowd: "{n} people are here.",
    somebody: "Somebody",
    server: "Notice",

    idle: "Not connected",
    connecting: "Connecting …",
    open: "Connected",
    closed: "Connection closed",
    waiting: "Connection closed. Trying again in {n} s",
    offline: "Connection closed. You are offline",

    joined: "{names} joined",
    left: "{names} left",
    noteClosed: "Connection closed",
    noteOpen: "Connected again",
    noteMissed: "Some lines may be missing here.",
    noteSkipped: { one: "One line was passed over.", other: "{n} lines were passed over." },

    sending: "Sending …",
    unsure: "The connection broke: it may not have arrived.",
    again: "Send again",
    unsent: "Not sent.",

    nobodySpeaks: "On this feed only the server speaks. You are welcome to read.",
    accountsSpeak: "Only people with an account may speak here. Log in, then load this page again.",
    mayNotSpeak: "You may not speak here.",
    tooLong: "This line has {n} bytes; {limit} are possible.",
    nameHeld: "This name belongs to an account. Choose another one.",
    nameBad: "This name cannot be used. Choose another one.",
    pageRefused: "This page may not connect to this server.",
    queryRefused: "The server does not understand this page. Load it again.",
    replaced: "You connected somewhere else; this connection has ended.",
    loginEnded: "Your login has ended. You are here as a guest.",
    busy: "The server is busy.",
  },
  id: {
    title: "Satu siaran untuk semua",
    language: "Bahasa",
    chat: "Obrolan",
    lines: "Pesan",
    name: "Nama Anda",
    optional: "Nama Anda, kalau mau",
    subscribe: "Berlangganan",
    leave: "Putuskan",
    line: "Pesan Anda",
    say: "Katakan sesuatu kepada semua",
    send: "Kirim",
    empty: "Berlanggananlah, dan semua pesan akan muncul di sini.",
    quiet: "Belum ada yang berbicara.",
    newer: "Pesan terbaru ↓",
    here: "Siapa di sini",
    unknown: "Terlihat setelah Anda berlangganan.",
    plain: "Siaran apa adanya",
    you: "Anda",
    others: { other: "dan {n} lagi" },
    crowd: "Ada {n} orang di sini.",
    somebody: "Seseorang",
    server: "Pengumuman",

    idle: "Belum terhubung",
    connecting: "Menghubungkan …",
    open: "Terhubung",
    closed: "Koneksi ditutup",
    waiting: "Koneksi ditutup. Mencoba lagi dalam {n} dtk",
    offline: "Koneksi ditutup. Anda sedang luring",

    joined: "{names} bergabung",
    left: "{names} pergi",
    noteClosed: "Koneksi ditutup",
    noteOpen: "Terhubung kembali",
    noteMissed: "Mungkin ada pesan yang terlewat di sini.",
    noteSkipped: { other: "{n} pesan dilewati." },

    sending: "Mengirim …",
    unsure: "Koneksi terputus: mungkin pesan ini tidak sampai.",
    again: "Kirim lagi",
    unsent: "Tidak terkirim.",

    nobodySpeaks: "Di sini hanya server yang berbicara. Silakan membaca.",
    accountsSpeak: "Hanya pemilik akun yang boleh berbicara di sini. Masuklah, lalu muat ulang halaman ini.",
    mayNotSpeak: "Anda tidak boleh berbicara di sini.",
    tooLong: "Pesan ini {n} bita; batasnya {limit}.",
    nameHeld: "Nama ini milik sebuah akun. Pilih nama lain.",
    nameBad: "Nama ini tidak dapat dipakai. Pilih nama lain.",
    pageRefused: "Halaman ini tidak boleh terhubung ke server ini.",
    queryRefused: "Server tidak memahami halaman ini. Muat ulang halaman.",
    replaced: "Anda terhubung dari tempat lain; koneksi ini berakhir.",
    loginEnded: "Masa masuk Anda berakhir. Anda di sini sebagai tamu.",
    busy: "Server sedang sibuk.",
  },
};

export let language = "en";

let time, day, list, plural;

// speak chooses the language, or the browser's wish.
export function speak(wish) {
  const wishes = [wish, ...(navigator.languages ?? [navigator.language])];
  const known = wishes.map((w) => (w ?? "").toLowerCase().split("-")[0]).map((w) => (w === "in" ? "id" : w));
  language = known.find((w) => w in words) ?? "en";
  time = new Intl.DateTimeFormat(language === "en" ? [navigator.language, "en"] : "id", { hour: "2-digit", minute: "2-digit" });
  day = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
  list = new Intl.ListFormat(language, { type: "conjunction" });
  plural = new Intl.PluralRules(language);
}

// say is a text of the page. Of those with a number, n chooses the form.
export function say(key, values = {}) {
  let text = words[language][key];
  if (typeof text === "object") text = text[plural.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return Array.isArray(value) ? list.format(value) : String(value);
  });
}

export const clock = (date) => time.format(date);
export const calendar = (date) => day.format(date);
