/** True if this server has the calls below /demo, as stated in the page. */
export const demoEnabled = document.querySelector('base')?.dataset.demo === 'true'
