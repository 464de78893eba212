// Before the first paint, so that a chosen theme and direction never flash.
try {
  const chosen = JSON.parse(localStorage.getItem('ravenpost.look') ?? '{}')
  if (chosen.theme) document.documentElement.dataset.theme = chosen.theme
  if (chosen.language === 'ar') document.documentElement.dir = 'rtl'
} catch {}
