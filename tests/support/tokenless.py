"""Texts that MiniLM's tokenizer makes few tokens of, so that many chunks have none of their own."""

import base64

TOKENLESS = {
    "emoji": "The family 👨‍👩‍👧‍👦👩‍👩‍👧👩🏽‍🚀🏳️‍🌈 waved from the harbour. 👩‍❤️‍💋‍👩🧑🏿‍🤝‍🧑🏻👨‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿 Then it sailed.",
    "thai": "ประภาคารเปิดไฟทุกคืนเพื่อนำทางเรือประมงกลับเข้าฝั่งอย่างปลอดภัย The keeper sleeps. ชาวประมงออกทะเลตั้งแต่เช้ามืด",
    "khmer": "ភ្លើងហ្វារបំភ្លឺផ្លូវសម្រាប់ទូកនេសាទរៀងរាល់យប់ដើម្បីឱ្យពួកគេត្រឡប់មកវិញដោយសុវត្ថិភាព The lamp is lit. អ្នកនេសាទ",
    "base64": f"Attached: {base64.b64encode(b'nine ships in the fog ' * 6).decode()} and that was all.",
    "accents": "Fog comes in.\n" + "\u0301\u0300\u0302" * 3 + "\n" + "\u0301" * 5 + "\nShips go out.",
    "selectors": "Lamp \u2764" + "\ufe0f\ufe0e" * 4 + " lit \u2600" + "\ufe0f" * 9 + " by the keeper.",
    "nothing": "\u0301\u0300\u0302\ufe0f" * 3,
}
