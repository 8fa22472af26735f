(function () {
  var table = document.getElementById("candidate-table");
  if (!table) return;
  var body = table.tBodies[0];
  Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
    head.addEventListener("click", function () {
      var up = head.getAttribute("aria-sort") !== "ascending";
      Array.from(table.tHead.rows[0].cells).forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      var key = function (row) { return row.cells[column].dataset.key || row.cells[column].textContent; };
      var rows = Array.from(body.rows).sort(function (a, b) {
        var x = number(key(a)), y = number(key(b));
        var order = x === y ? 0 : isNaN(x) || isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
        return up ? order : -order;
      });
      rows.forEach(function (row) { body.appendChild(row); });
    });
  });
  function number(text) { return text === "\u2013" ? -Infinity : parseFloat(text); }
})();
