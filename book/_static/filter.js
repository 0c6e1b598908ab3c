// A table's field for words: rows that do not hold all of them are hidden.
document.querySelectorAll("input.filter").forEach((field) => {
  const rows = field.nextElementSibling.querySelectorAll("tbody tr");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
  });
});
