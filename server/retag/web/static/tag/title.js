t=>{t.enrich.push(t=>{t.ad.title=document.title})}
