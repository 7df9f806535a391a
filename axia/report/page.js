const cards=[...document.querySelectorAll('.card')],q=document.getElementById('q'),s=document.getElementById('s'),n=document.getElementById('n');
function show(){const text=q.value.toLowerCase();let count=0;for(const card of cards){
const hit=card.textContent.toLowerCase().includes(text)&&(!s.value||card.querySelector('li.s'+s.value));card.hidden=!hit;count+=hit?1:0}
n.textContent=count+' of '+cards.length+' pictures'}
q.addEventListener('input',show);s.addEventListener('change',show);show();
